"""Files of an examination into pixels: DICOM, pictures of a row, what they look like."""
