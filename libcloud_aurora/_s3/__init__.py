"""Pure: how S3 names, signs, encodes and describes things. Nothing here waits or sends."""
