"""The APIs' own JSON, one file or folder each: how a request and an answer are read, rewritten and refused in it.

A file or folder here offers its dialect as `DIALECT`; the API's route in `server.apis` brings it to the proxy.
"""
