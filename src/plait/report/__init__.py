"""The page that shows what a fit found."""
