"""A popular NVR's pipeline as it is published, made small. Not the product: see `..nvr_reference`."""
