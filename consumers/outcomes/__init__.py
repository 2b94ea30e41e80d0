"""The stage that joins impressions, clicks, cart-adds and purchases by the recommendation that they follow."""
