"""Public sets of questions and conversations about pictures, in the layouts that their owners document."""
