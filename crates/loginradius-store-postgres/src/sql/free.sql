-- Released; or lapsed, and found so long ago that a holder which lives would have renewed it since. Without that wait,
-- a server that stood still, was started again or took over would give every lease away.
(s.leased_until = '-infinity'
    OR (/* lapsed */ AND coalesce(s.found_lapsed < clock_timestamp() - 0.4 * s.lease_length, false)))
