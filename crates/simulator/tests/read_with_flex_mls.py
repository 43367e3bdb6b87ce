"""Reads a simulator on both surfaces with flex-mls, a third party's Spark client, and tells what it saw.

    SPARK_TOKEN=... python3 read_with_flex_mls.py RESO_BASE_URL SPARK_BASE_URL

The client knows the RESO surface; its transport, its headers and its reading of refusals serve the native one too.
"""

import json
import os
import sys
from datetime import datetime, timedelta, timezone

from flex_mls import FlexMlsClient, ReplicationWindow, exceptions

reso, spark = sys.argv[1:]
client = FlexMlsClient(access_token=os.environ["SPARK_TOKEN"], base_url=reso, max_retries=0)
properties = client.properties


def keys(resource, field):
    return [record[field] for page in resource.iter_all(top=40) for record in page.records]


def native(collection, **params):
    """All records of a native list, as its documents say it is to be read."""
    token, records = "", []
    while True:
        answer = properties.get(f"{spark}/{collection}", params={**params, "_limit": 40, "_skiptoken": token})["D"]
        assert answer["Success"] is True
        records += answer["Results"]
        following = answer.get("SkipToken")
        if not answer["Results"] or not following or following == token:
            return records
        token = following


def refusal(ask):
    try:
        ask()
    except exceptions.ApiError as error:
        return [type(error).__name__, error.spark_code]
    return None


def reads():
    now = datetime.now(timezone.utc)
    window = ReplicationWindow(start=now - timedelta(minutes=20), end=now + timedelta(minutes=5))
    recent = [r["ListingKey"] for page in properties.iter_recently_modified_properties(window) for r in page.records]
    first = next(properties.iter_listing_keys())
    listing = properties.get_by_listing_key(first, expand=["Media", "Room", "Unit", "OpenHouse"])
    account = {"_filter": "UserType Eq 'Member'"}
    return {
        "metadata": "<EntityType Name=\"Property\">" in properties.get_metadata(),
        "counted": properties.list(top=1, count=True)["@odata.count"],
        "listing_keys": list(properties.iter_listing_keys(top=40)),
        "recent": recent,
        "media": len(listing["Media"]) == len(client.media.list_for_property(first)["value"]),
        "members": keys(client.members, "MemberKey"),
        "offices": keys(client.offices, "OfficeKey"),
        "open_houses": keys(client.openhouses, "OpenHouseKey"),
        "lookups": keys(client.lookup, "LookupKey"),
        "native_listings": [r["StandardFields"]["ListingKey"] for r in native("listings", _select="ListingKey")],
        "native_photos": sum(len(r["StandardFields"]["Photos"]) for r in native("listings", _expand="Photos")),
        "native_members": [r["Id"] for r in native("accounts", **account)],
        "native_offices": [r["Id"] for r in native("accounts", _filter="UserType Eq 'Office'")],
        "native_open_houses": [r["Id"] for r in native("openhouses")],
        "refusals": [
            refusal(lambda: properties.get_by_listing_key("nobody")),
            refusal(lambda: properties.list(filter_expression="Nope eq 1")),
            refusal(lambda: properties.get(f"{spark}/listings/nobody")),
            refusal(lambda: properties.get(f"{spark}/listings", params={"_limit": 1001})),
            refusal(lambda: properties.get(f"{spark}/listings", params={"_filter": "Nope Eq 1"})),
        ],
    }


print(json.dumps(reads()))
