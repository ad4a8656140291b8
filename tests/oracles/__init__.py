"""What other projects' own tests say of the health of objects, against what our rules say; needs ../shared/oracles."""
