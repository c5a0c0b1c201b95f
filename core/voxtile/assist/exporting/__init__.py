"""An assistant for other libraries: its connector as ONNX, its language model or additions as transformers and peft."""
