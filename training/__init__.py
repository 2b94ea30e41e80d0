"""Networks made, converted and tuned with TensorFlow; nothing that runs in a shop imports this package."""
