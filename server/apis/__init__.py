"""The server's HTTP interfaces, one file each.

A file here offers `routes(parts)`, and may offer `OPENAPI`, the paths that it adds to the OpenAPI document where its
routes are plain Starlette ones. It is found by its folder.
"""
