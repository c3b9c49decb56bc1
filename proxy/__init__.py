"""The traffic: queries in (`proxy.ingress`), transfers out (`proxy.egress`), and the grammar of both (`proxy.protocol`)."""
