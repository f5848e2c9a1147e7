"""Tables of experiments: files in and out, what each column is, units, descriptors, tensor fields and back."""
