"""VGG-19, its layers by name, and where its weights come from."""
