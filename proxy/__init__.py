"""The traffic: queries in (`proxy.ingress`), transfers out (`proxy.egress`), the grammar of both (`proxy.protocol`)."""
