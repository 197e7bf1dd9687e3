"""Implementation of the XML-RPC methods, one file per family of objects. How a request arrives is not known here."""
