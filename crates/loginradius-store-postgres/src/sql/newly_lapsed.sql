(/* lapsed */ AND (s.found_lapsed IS NULL OR s.found_lapsed > clock_timestamp()))
