"""The dock *Fine-tune*: corrections in, a proven model out. Panels emit, the controller decides."""
