"""Which survive: a funnel of counted stages."""
