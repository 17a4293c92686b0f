"""What is served: signatures over tokenizer, STEM, GLAM and STREAM."""
