"""The engine `flux`: Flux deploys, and its objects say what. Believed where one read proves a commit, and no further."""
