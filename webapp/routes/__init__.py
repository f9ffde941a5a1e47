"""What the API answers: one blueprint a file, and the OpenAPI document that describes them."""
