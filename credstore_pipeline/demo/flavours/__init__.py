"""The named stores: each a function from a seed to everything that the file is to hold."""

from collections.abc import Callable

from credstore_pipeline.demo.flavours import dirty, mixed, orm, rotation, script, showcase, unkeyed, web
from credstore_pipeline.demo.maker import Maker

FLAVOURS: dict[str, Callable[[int], Maker]] = {
    "demo": showcase.demo,
    "setup_plain": script.setup_plain,
    "setup_as_shipped": script.setup_as_shipped,
    "setup_empty": script.setup_empty,
    "setup_dirty": script.setup_dirty,
    "orm_bare": orm.orm_bare,
    "orm_envelope": orm.orm_envelope,
    "hybrid_script_first": orm.hybrid_script_first,
    "hybrid_orm_first": orm.hybrid_orm_first,
    "key_rotation": rotation.key_rotation,
    "double_encrypted": rotation.double_encrypted,
    "lost_env": rotation.lost_env,
    "mixed": mixed.mixed,
    "source_keys": mixed.source_keys,
    "dirty": dirty.dirty,
    "unkeyed": unkeyed.unkeyed,
    "web_and_store": web.web_and_store,
    "web": web.web,
    "migration_tags": web.migration_tags,
    "head": unkeyed.head,
}
