-- Shortly after the server was started, no holder has been able to renew its lease. A lease that ends later than any
-- could is of a clock that was set back since.
(s.leased_until = '-infinity'
    OR ((s.leased_until < clock_timestamp() OR s.leased_until > clock_timestamp() + 2 * s.lease_length)
        AND clock_timestamp() NOT BETWEEN pg_postmaster_start_time() AND pg_postmaster_start_time() + s.lease_length))
