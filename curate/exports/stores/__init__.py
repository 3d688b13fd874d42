"""Exports in object stores: s3://bucket/dataset has the objects that a local export has as files.

names     the URLs that an export may have          output    what is there, claimed, replaced, completed
shards    what leaves this machine early           fetched   an export in a store as a local folder
failures  what to do about errors of a store
"""
