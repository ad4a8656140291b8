"""The engine `argocd`: Argo CD deploys; we read what its Applications say, and may ask it to look at Git."""
