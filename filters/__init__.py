"""What is let in: settings of the filters, compiled into the immutable policy that the data plane applies."""
