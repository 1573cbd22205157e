"""Jobs: where they are kept, what sets them off, who runs which fire, and what a hedging job sees."""
