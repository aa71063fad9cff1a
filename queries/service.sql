-- name: ping()$
-- One, when the database answers.
-- @return value
-- @access public
-- @index  none
select 1;
