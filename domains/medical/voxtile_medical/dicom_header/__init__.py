"""Finding DICOM files and reading what their headers say."""
