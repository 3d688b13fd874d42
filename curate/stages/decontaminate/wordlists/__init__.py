"""Words of many languages, and how often they occur there and in the eval sets."""
