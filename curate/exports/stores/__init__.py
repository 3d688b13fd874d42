"""Exports in object stores: s3://bucket/dataset has the objects that a local export has as files.

names     the URLs that an export may have          output    what is there, claimed, replaced, completed
fetched   an export in a store as a local folder
"""
