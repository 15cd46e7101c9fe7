"""What the methods of `dl.cam` have in common, and occlusion."""
