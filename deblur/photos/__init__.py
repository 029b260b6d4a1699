"""Somebody's own photographs, restored: images, files, folders."""
