"""What the pages read: the call list, champions, drift days, the API's figures, uploads."""
