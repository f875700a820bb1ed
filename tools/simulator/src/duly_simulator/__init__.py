"""A synthetic ERP and its debtors, speaking only the public edges."""
