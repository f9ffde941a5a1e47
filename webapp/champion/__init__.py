"""The model that answers: found by the pointer, checked, loaded, swapped and kept on disk."""
