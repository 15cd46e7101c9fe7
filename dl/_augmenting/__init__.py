"""Changes of images in a batch: levels, geometry, JPEG, operations of a policy, variants."""
