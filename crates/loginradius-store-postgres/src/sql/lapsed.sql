-- A lease that ends later than any could is one from before the server's clock was set back.
(s.leased_until < clock_timestamp() OR s.leased_until > clock_timestamp() + 2 * s.lease_length)
