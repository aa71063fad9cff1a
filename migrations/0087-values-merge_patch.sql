-- depends: 0086-configs-reencrypt
-- JSON merge patch (RFC 7396), for statements that change members of a value under the lock of its row: patches of different members
-- that arrive at the same time all persist.
set local lock_timeout = '5s';

-- Its cost follows the patch; members of the target that the patch does not name are copied as they are. A patch of more than 64
-- levels raises `statement_too_complex`, as JSON that exceeds the stack does.
create function merge_patch(target jsonb, patch jsonb, level integer default 1) returns jsonb
language plpgsql immutable parallel safe as $$
declare
    former jsonb := case when jsonb_typeof(target) = 'object' then target else '{}' end;
begin
    if patch is null then
        return target;
    elsif jsonb_typeof(patch) <> 'object' then
        return patch;
    elsif level > 64 then
        raise statement_too_complex using message = 'the patch is nested deeper than 64 levels';
    end if;
    return (
        select
            (former - coalesce(array_agg(key) filter (where value = 'null'), '{}')) || coalesce(
                jsonb_object_agg(
                    key,
                    case
                        when jsonb_typeof(value) = 'object' then merge_patch(former -> key, value, level + 1)
                        else value
                    end
                ) filter (where value <> 'null'),
                '{}'
            )
        from jsonb_each(patch)
    );
end
$$;

comment on function merge_patch is 'Returns a value with the members of a JSON merge patch (RFC 7396); null removes a member. A patch that is SQL''s null changes nothing';
