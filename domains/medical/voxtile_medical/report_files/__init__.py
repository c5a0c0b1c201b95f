"""Reports as hospital systems send them, DICOM SR, PDF, HL7 v2 and FHIR, as texts of their studies."""
