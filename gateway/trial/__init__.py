"""What a policy would do: messages of a capture, a file of queries or a description, judged without a gateway."""
