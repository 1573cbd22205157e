// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

/// Only what FurtherPayments asks of Maker (dss), written from the contracts' public ABIs.

/// An adapter: DaiJoin (`dai`), or a GemJoin (`gem`, `ilk`, `dec`). What it takes from its caller it books for `usr` in the Vat.
interface IMakerJoin {
    function vat() external view returns (address);
    function dai() external view returns (address);
    function gem() external view returns (address);
    function ilk() external view returns (bytes32);
    function dec() external view returns (uint256);
    function join(address usr, uint256 wad) external;
}

interface IVat {
    function ilks(bytes32 ilk) external view returns (uint256 Art, uint256 rate, uint256 spot, uint256 line, uint256 dust);
    function urns(bytes32 ilk, address urn) external view returns (uint256 ink, uint256 art);
    function gem(bytes32 ilk, address who) external view returns (uint256);
    function frob(bytes32 ilk, address u, address v, address w, int256 dink, int256 dart) external;
}

/// What accrues the stability fee into the Vat's rate.
interface IJug {
    function vat() external view returns (address);
    function drip(bytes32 ilk) external returns (uint256 rate);
}
