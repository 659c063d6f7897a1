"""The same job on minift and on transformers, datasets and accelerate, compared stage by stage."""
