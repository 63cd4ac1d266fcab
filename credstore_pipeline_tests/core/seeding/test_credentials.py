import pytest

from credstore_pipeline.core.data_key import new_data_key, wrap_data_key
from credstore_pipeline.core.deployment import KeyMaterial
from credstore_pipeline.core.errors import CredstoreError, ProofFailed, TargetKeyChanged
from credstore_pipeline.core.keys.ring import build_ring
from credstore_pipeline.core.seeding.plan import SeedCredential, default_credentials, password_fault
from credstore_pipeline.core.seeding.seed import seed_credentials, seed_tags
from credstore_pipeline_tests.core.seeding.conftest import KEY, PASSWORDS
from credstore_pipeline_tests.pipeline.flow import opened, sealed

NOTHING = {"made": 0, "associations": 0, "left_deleted": 0}


@pytest.fixture
def tagged(seeding):
    seed_tags(seeding(), "tags")
    return seeding


def test_each_credential_stands_on_each_default_tag_at_its_priority_and_opens(tagged, sql):
    done = seed_credentials(tagged(), "r1")
    assert done.numbers == {"made": 3, "associations": 12, "left_deleted": 0}
    found = {
        name: (username, opened(stored))
        for name, username, stored in sql("SELECT name, username, password FROM credentials")
    }
    assert found == {name: (name.lower(), password) for name, password in PASSWORDS.items()}
    links = sql(
        "SELECT c.name, l.priority, array_agg(t.name ORDER BY t.name)::text FROM credential_tags l"
        " JOIN credentials c ON c.id = credential_id JOIN tags t ON t.id = tag_id GROUP BY 1, 2 ORDER BY 2 DESC"
    )
    everywhere = "{Default,Firewalls,Routers,Switches}"
    assert links == [("Admin", 100.0, everywhere), ("Backup", 50.0, everywhere), ("Monitor", 10.0, everywhere)]
    assert sql("SELECT DISTINCT success_count, failure_count, created_at IS NULL FROM credential_tags") == [
        (0, 0, False)
    ]


def test_only_where_a_password_is_given(tagged, sql):
    assert seed_credentials(tagged(credentials=default_credentials({"Backup": "made-up"})), "r1").numbers["made"] == 1
    assert sql("SELECT name FROM credentials") == [("Backup",)]


def test_without_a_password_it_is_skipped_and_says_so_and_needs_no_key(tagged, sql):
    done = seed_credentials(tagged(credentials=(), keys=None), "r1")
    assert done.numbers == NOTHING
    assert "no password is given" in done.text


def test_a_store_with_credentials_is_left_alone_and_that_is_said(tagged, sql):
    sql("INSERT INTO credentials (id, name, username) VALUES ('own', 'Own', 'own')")
    done = seed_credentials(tagged(), "r1")
    assert done.numbers == NOTHING
    assert done.text == "Skipped: the store has 1 credentials already."
    assert sql("SELECT count(*) FROM credentials") == [(1,)]


def test_seeding_again_makes_none_and_the_same_run_repeated_says_the_same(tagged, sql):
    first = seed_credentials(tagged(), "r1")
    assert seed_credentials(tagged(), "r1") == first
    assert seed_credentials(tagged(), "r2").numbers == NOTHING
    assert sql("SELECT count(*) FROM credentials") == [(3,)]


def test_what_was_deleted_since_is_not_made_again(tagged, sql):
    seed_credentials(tagged(credentials=default_credentials({"Admin": "made-up"})), "r1")
    sql("DELETE FROM credentials")
    assert seed_credentials(tagged(), "r2").numbers == {"made": 2, "associations": 8, "left_deleted": 1}
    assert sql("SELECT name FROM credentials ORDER BY 1") == [("Backup",), ("Monitor",)]


def test_a_default_tag_that_was_renamed_counts_and_one_that_was_deleted_does_not(tagged, sql):
    sql("UPDATE tags SET name = 'Layer 2' WHERE name = 'Switches'")
    sql("DELETE FROM tags WHERE name IN ('Firewalls', 'Default')")
    assert seed_credentials(tagged(), "r1").numbers["associations"] == 6
    names = "SELECT DISTINCT t.name FROM credential_tags l JOIN tags t ON t.id = tag_id ORDER BY 1"
    assert sql(names) == [("Layer 2",), ("Routers",)]


def test_a_store_sealed_under_another_key_is_refused(tagged, sql):
    wrapped = wrap_data_key(new_data_key(), build_ring(KeyMaterial("another key")))
    sql("INSERT INTO credstore_sync.data_key VALUES (1, %s, now(), 'r0')", wrapped)
    with pytest.raises(TargetKeyChanged):
        seed_credentials(tagged(), "r1")
    assert sql("SELECT count(*) FROM credentials") == [(0,)]


def test_a_password_without_a_key_is_refused(tagged):
    with pytest.raises(CredstoreError, match="no key to seal it with"):
        seed_credentials(tagged(keys=None), "r1")


def test_a_trigger_that_alters_a_password_rolls_everything_back(tagged, sql):
    sql(
        "CREATE FUNCTION public.altered() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$BEGIN NEW.password := '{sealed('another')}'; RETURN NEW; END$$"
    )
    sql("CREATE TRIGGER altered BEFORE INSERT ON credentials FOR EACH ROW EXECUTE FUNCTION public.altered()")
    with pytest.raises(ProofFailed) as failed:
        seed_credentials(tagged(), "r1")
    assert not any(password in str(failed.value) for password in PASSWORDS.values())
    assert sql("SELECT count(*) FROM credentials") == [(0,)]


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("admin_password", "published"),
        ("backup_password", "published"),
        ("monitor_password", "published"),
        ("readonly_password", "published"),
        ("x" * 480, "longer than 479 bytes"),
        (sealed("a password", KEY), "shape of ciphertext"),
    ],
)
def test_a_password_that_may_not_be_seeded_is_refused_without_being_shown(password, fault):
    told = password_fault(password)
    assert fault in told
    assert password not in told


def test_the_longest_password_fits_the_applications_column(tagged, sql):
    longest = "é" * 239 + "x"
    assert password_fault(longest) is None
    seed_credentials(tagged(credentials=default_credentials({"Admin": longest})), "r1")
    assert opened(sql("SELECT password FROM credentials")[0][0]) == longest


def test_no_repr_shows_a_password():
    assert "made-up" not in repr(SeedCredential("Admin", "admin", "", 1.0, "made-up"))
