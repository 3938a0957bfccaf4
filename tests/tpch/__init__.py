"""TPC-H without its tools: tables of its shape and the 22 queries, made here and needing no network."""
