"""Bytes on threads: objects to and from files and streams, listings, copies, deletions."""
