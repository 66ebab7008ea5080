-- Right after the server was started, no holder has been able to renew its lease yet. A lease that ends later than any
-- lease could was taken before the server's clock was set back.
(s.leased_until = '-infinity'
    OR ((s.leased_until < clock_timestamp() OR s.leased_until > clock_timestamp() + 2 * s.lease_length)
        AND clock_timestamp() NOT BETWEEN pg_postmaster_start_time() AND pg_postmaster_start_time() + s.lease_length))
