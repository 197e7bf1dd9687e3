"""What each XML-RPC method does, one file per family of objects."""
