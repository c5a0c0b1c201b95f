"""DICOM to a corpus: series found in any folder tree, judged by name, stored losslessly with their geometry."""
